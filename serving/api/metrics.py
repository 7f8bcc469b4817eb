"""For Prometheus."""

from fastapi import Request, Response
from prometheus_client.exposition import choose_encoder

from serving.api.doors import Routes
from serving.metrics import Metrics


def add_metrics(routes: Routes, metrics: Metrics) -> None:
    @routes.add("GET", "/metrics", "viewer", response_class=Response)
    def told(request: Request) -> Response:
        """As text, in the format that Prometheus asks for; its scrape configuration carries a viewer's token."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"Content-Type": kind})
