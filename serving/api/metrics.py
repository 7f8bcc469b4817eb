"""For Prometheus."""

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving.api.doors import Routes
from serving.metrics import Metrics


def add_metrics(routes: Routes, metrics: Metrics) -> None:
    @routes.add("GET", "/metrics", "viewer", response_class=Response)
    def told() -> Response:
        """In Prometheus' text format; its scrape configuration carries a viewer's token."""
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
