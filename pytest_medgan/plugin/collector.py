"""What the tests found, gathered on the one process that writes: plain dictionaries from `report.user_properties`.

The same channel serves one process and many (pytest-xdist), so both behave alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_medgan.plugin.beside import collection_of

if TYPE_CHECKING:
    from pytest_medgan.evaluate import ModelEvaluation

PROPERTY = "medgan"  # the entry that carries everything; taken out before a JUnit file could show it


@dataclass
class Model:
    """One model as far as the tests of this session looked at it."""

    plain: dict[str, Any]  # the payload with the most looks
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The baseline row it was compared with, else its own name; the Real row is nobody's to replace."""
        return next((v["row"] for v in self.verdicts if v["row"] not in (None, "Real")), str(self.plain["name"]))


@dataclass
class Collector:
    """Everything the summary, the candidates and the reports are made of."""

    models: dict[str, Model] = field(default_factory=dict)
    gpu_tests_run: int = 0
    terminal_lines: list[str] = field(default_factory=list)  # may name files of the data; for the terminal only

    def take(self, payload: dict[str, Any], nodeid: str, *, ran: bool = True) -> None:
        """One test's findings; `ran` is false where the test skipped itself."""
        self.terminal_lines += [line for line in payload.get("terminal", ()) if line not in self.terminal_lines]
        self.gpu_tests_run += bool(payload.get("gpu")) and ran
        for plain in payload.get("models", ()):
            known = self.models.setdefault(plain["key"], Model(plain))
            looks = {**known.plain["looks"], **plain["looks"]}
            real = {**known.plain["real"], **plain["real"]}
            fuller = max(known.plain, plain, key=lambda one: len(one["looks"]))
            trouble = known.plain["trouble"] or plain["trouble"]
            known.plain = {**fuller, "looks": looks, "real": real, "trouble": trouble}
        for verdict in payload.get("verdicts", ()):
            model = self.models.get(verdict["model"])
            if model is not None:
                model.verdicts.append({**verdict, "nodeid": nodeid})


def model_payload(evaluation: ModelEvaluation) -> dict[str, Any]:
    """An evaluation as plain data: what it computed so far and what it was computed from. No path, no patient."""
    from pytest_medgan.evaluate import real_scores
    from pytest_medgan.evaluate.plain import fingerprint_to_plain, scores_to_plain

    subject, computed = evaluation.subject, evaluation.computed
    real = subject.real
    return {
        "key": evaluation.key,
        "name": evaluation.name,
        "identity": evaluation.identity,
        "fingerprint": fingerprint_to_plain(evaluation.fingerprint),
        "counts": list(evaluation.counts),
        "looks": {str(n): scores_to_plain(scores) for n, scores in computed.items()},
        "real": {str(n): scores_to_plain(scores) for n, scores in real_scores(subject, computed).items()},
        "data": {
            "source": "phantom" if real.settings.source.split(":")[0] == "phantom" else "studies",
            "collection": collection_of(real.settings.source),
            "split": real.settings.split,
            "crop": real.settings.crop,
            "window": list(real.settings.window),
            "training": len(real.training),
            "reference": len(real.reference),
            "held_out": len(real.held_out),
            "counts": dict(real.counts),
            "warnings": list(subject.warnings),
        },
        "extractor": subject.extractor.identity,
        "numeric_class": subject.extractor.numeric_class,
        "engine": getattr(subject.extractor, "engine", ""),
        "features": str(subject.bench.cache().counts),
        "trouble": subject.bench.trouble,
        "seeds": list(subject.settings.seeds),
        "baseline": subject.settings.baseline,
    }
