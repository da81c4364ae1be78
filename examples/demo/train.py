"""Train an iris classifier and register it in MLflow: all that a model needs to be served by Modelvane.

Runs wherever `MLFLOW_TRACKING_URI` points to the server; in the demo, in the Job of `train-job.yaml`.
"""

import argparse

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--regularization", type=float, default=1.0, help="smaller values hold the model back more")
regularization = parser.parse_args().regularization

iris = load_iris(as_frame=True)
measures = iris.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
species = iris.target.map(lambda number: str(iris.target_names[number]))
train_x, test_x, train_y, test_y = train_test_split(measures, species, test_size=0.3, random_state=1, stratify=species)

mlflow.set_experiment("iris")
with mlflow.start_run():
    model = make_pipeline(StandardScaler(), LogisticRegression(C=regularization)).fit(train_x, train_y)
    accuracy = model.score(test_x, test_y)
    mlflow.log_param("regularization", regularization)
    mlflow.log_metric("accuracy", accuracy)
    # The signature says what the model takes; the input example is what Modelvane tries before it sends traffic.
    logged = mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(test_x, model.predict(test_x)),
        input_example=test_x.head(3),
        registered_model_name="iris",
    )

print(f"iris version {logged.registered_model_version}, accuracy {accuracy:.3f}")
