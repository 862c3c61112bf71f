"""Log a model's values to Weights & Biases, as one run. Project and mode are those of its own environment."""

from __future__ import annotations

import wandb

from pytest_medgan.session.trackers import LoggedModel


def log_model(model: LoggedModel) -> None:
    """Log parameters, metrics, verdicts and reports as one run of the type "medgan".

    Args:
        model: What a run found of one model.
    """
    # a command line may name a folder of patients, so it stays here, as do the machine's own facts
    quiet = wandb.Settings(
        console="off", disable_code=True, disable_git=True, x_disable_meta=True, x_disable_stats=True
    )
    with wandb.init(
        name=model.name, job_type="medgan", config=dict(model.parameters), reinit="create_new", settings=quiet
    ) as run:
        run.log(dict(model.values))
        run.summary.update(dict(model.tags))
        if model.files:
            artifact = wandb.Artifact("medgan-report", type="report")
            for file in model.files:
                artifact.add_file(str(file))
            run.log_artifact(artifact)
