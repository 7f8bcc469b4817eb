"""How an endpoint is doing, and how its candidates would."""

from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import Field

from serving.api.doors import Routes, identity_of
from serving.api.workers import Strict
from serving.deployments import Deployments
from serving.monitoring.candidates import Candidates
from serving.monitoring.monitor import Monitor
from serving.monitoring.overview import Overview
from serving.monitoring.recent import Recent
from serving.package import Name

FRESH_SECONDS = 5.0  # for which an overview is shown to further pages

Hours = Annotated[float, Query(ge=1 / 60, le=24 * 366)]
Points = Annotated[int, Query(ge=1, le=300)]
Number = Annotated[int, Field(ge=0, lt=2**31)]


class Shadow(Strict):
    model: Number


class Canary(Strict):
    """share: of the requests, between 0 and 1."""

    model: Number
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1


class Withdraw(Strict):
    role: Literal["shadow", "canary"]


def add_monitoring(routes: Routes, deployments: Deployments, monitor: Monitor) -> None:
    overview, candidates, recent = Overview(deployments, monitor), Candidates(deployments), Recent(FRESH_SECONDS)

    @routes.add("GET", "/api/monitoring/{name}", "viewer")
    def of(name: Name, hours: Hours = 24.0, points: Points = 96) -> dict[str, Any]:
        """Load, latency, shares, confidence and drift of the last hours."""
        return dict(recent.get((name, hours, points), lambda: overview.of(name, hours, points)))

    @routes.add("GET", "/api/deployments/{name}/candidates", "viewer")
    def compared(name: Name) -> list[dict[str, Any]]:
        """Shadow and canary beside what is live."""
        return list(recent.get((name,), lambda: candidates.of(name)))


def add_candidates(routes: Routes, deployments: Deployments) -> None:
    @routes.add("POST", "/api/deployments/{name}/shadow", "operator")
    def shadow(name: Name, asked: Shadow, request: Request) -> dict[str, Any]:
        """A model answers beside the live one, unheard."""
        _require(deployments, name, asked.model)
        return deployments.shadow(asked.model, identity_of(request).actor)

    @routes.add("POST", "/api/deployments/{name}/canary", "operator")
    def canary(name: Name, asked: Canary, request: Request) -> dict[str, Any]:
        """A model answers a share of the requests."""
        _require(deployments, name, asked.model)
        return deployments.canary(asked.model, asked.share, identity_of(request).actor)

    @routes.add("POST", "/api/deployments/{name}/withdraw", "operator")
    def withdraw(name: Name, asked: Withdraw, request: Request) -> dict[str, Any]:
        """Ends the shadow or the canary."""
        return deployments.withdraw(name, asked.role, identity_of(request).actor)


def _require(deployments: Deployments, name: str, number: int) -> None:
    """A model stands on the endpoint of its own name. Raises LookupError."""
    found = deployments.store.get(number)["name"]
    if found != name:
        raise ValueError(f"model {number} is one of {found}, not of {name}")
