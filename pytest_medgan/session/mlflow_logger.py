"""Log a model's values to MLflow, as one run. The server and the experiment are those of MLflow's own environment."""

from __future__ import annotations

import mlflow

from pytest_medgan.session.trackers import LoggedModel


def log_model(model: LoggedModel) -> None:
    """Log parameters, metrics, verdicts and reports as one run; a child run where the tests have a run open.

    Args:
        model: What a run found of one model.
    """
    with mlflow.start_run(run_name=model.name, nested=mlflow.active_run() is not None):
        mlflow.log_params(dict(model.parameters))
        mlflow.log_metrics(dict(model.values))
        mlflow.set_tags({f"medgan.{name}": value for name, value in model.tags.items()})
        for file in model.files:
            mlflow.log_artifact(str(file))
