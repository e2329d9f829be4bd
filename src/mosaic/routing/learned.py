"""The learned model: a contextual bandit (LinUCB) that learns for each route which target answers best.

For each route and kind of task every target has a linear model of its reward over a few features of the request; the
target with the highest upper bound is preferred, so that what is little known is tried. The model orders candidates
that fulfil every constraint; it can admit nobody.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import mul

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.routing.schemas import Outcome, RouteRequest
from mosaic.routing.settings import Prefer

__all__ = ["FEATURES", "LearnedRoutes", "Reward", "features_of", "task_of"]

FEATURES = ("always", "input", "output", "images", "tools", "hour_sin", "hour_cos")
"""What the model sees of a request."""
CURIOSITY = 1.0
"""How much the uncertainty of an estimate counts."""
MAX_TASKS = 64
"""Kinds of task that a route tells apart; further ones share a model."""
MAX_ARMS = 512
_SETTLED = 200
_VERSION = 1


def features_of(request: RouteRequest, at: datetime) -> tuple[float, ...]:
    """Return the features of a request at a moment, each about between -1 and 1."""
    angle = (at.hour * 60 + at.minute) / 1440 * math.tau
    needs = request.needs
    return (
        1.0,
        math.log1p(request.input_tokens) / 12.0,
        math.log1p(request.max_output_tokens) / 12.0,
        1.0 if "vision" in needs or "images" in needs else 0.0,
        1.0 if "tools" in needs or "structured_output" in needs else 0.0,
        math.sin(angle) * 0.5,
        math.cos(angle) * 0.5,
    )


def task_of(request: RouteRequest) -> str:
    """Return the kind of task: its operation and the attribute `task`."""
    return f"{request.operation}/{request.attributes.get('task', '')}"[:100]


@dataclass(slots=True)
class Reward:
    """Turns outcomes into rewards between 0 and 1, by what a route prefers.

    Attributes:
        latency_s, cost_nanos: what is usual on the route; half of the side's reward is given there.
        count: how many outcomes formed them.
    """

    latency_s: float = 0.0
    cost_nanos: float = 0.0
    count: int = 0

    def of(self, outcome: Outcome, *, cost_nanos: int | None, rating: float, prefer: Prefer) -> float:
        """Return the reward of an outcome; a failure has none."""
        if not outcome.ok:
            return 0.0
        self._grow(outcome.latency_s, float(cost_nanos or 0))
        quick = _half(outcome.latency_s, self.latency_s)
        cheap = 1.0 if not cost_nanos else _half(cost_nanos, self.cost_nanos)
        total = prefer.cost + prefer.latency + prefer.quality
        if not total:
            return rating
        return (prefer.cost * cheap + prefer.latency * quick + prefer.quality * rating) / total

    def _grow(self, latency_s: float, cost_nanos: float) -> None:
        self.count = min(self.count + 1, _SETTLED)
        self.latency_s += (latency_s - self.latency_s) / self.count
        self.cost_nanos += (cost_nanos - self.cost_nanos) / self.count


def _half(value: float, usual: float) -> float:
    return usual / (usual + value) if usual + value > 0 else 1.0


def _product(one: Sequence[float], two: Sequence[float]) -> float:
    return float(sum(map(mul, one, two)))


class _Arm:
    """The linear model of one target: the inverse of its design matrix, and its weights."""

    __slots__ = ("b", "inverse", "seen", "weights")

    def __init__(self) -> None:
        size = range(len(FEATURES))
        self.inverse = [[1.0 if row == column else 0.0 for column in size] for row in size]
        self.b = [0.0 for _ in size]
        self.weights = [0.0 for _ in size]
        self.seen = 0

    def estimate(self, x: Sequence[float]) -> float:
        return _product(self.weights, x)

    def bound(self, x: Sequence[float]) -> float:
        spread = _product(x, [_product(row, x) for row in self.inverse])
        return _product(self.weights, x) + CURIOSITY * math.sqrt(max(spread, 0.0))

    def learn(self, x: Sequence[float], reward: float) -> None:
        # Sherman and Morrison: the inverse after one more observation, without inverting.
        along = [_product(row, x) for row in self.inverse]
        scale = 1.0 + _product(along, x)
        self.inverse = [
            [value - left * right / scale for value, right in zip(row, along, strict=True)]
            for row, left in zip(self.inverse, along, strict=True)
        ]
        self.b = [value + reward * part for value, part in zip(self.b, x, strict=True)]
        self.weights = [_product(row, self.b) for row in self.inverse]
        self.seen += 1


@dataclass(slots=True)
class _Figures:
    """What the report tells of a route."""

    seen: int = 0
    agreed: int = 0
    reward: float = 0.0
    reward_agreed: float = 0.0
    regret: float = 0.0
    by_target: dict[str, int] = field(default_factory=dict)


class _RouteModel:
    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, _Arm]] = {}
        self.reward = Reward()
        self.figures = _Figures()

    def arms(self, task: str) -> dict[str, _Arm]:
        found = self.tasks.get(task)
        if found is None:
            name = task if len(self.tasks) < MAX_TASKS else ""
            found = self.tasks.setdefault(name, {})
        return found

    def arm(self, task: str, target: str) -> _Arm:
        arms = self.arms(task)
        found = arms.get(target)
        if found is None:
            found = _Arm()
            if len(arms) < MAX_ARMS:
                arms[target] = found
        return found


class LearnedRoutes:
    """The learned models of every route. In memory; `to_json` and `load` carry it over a restart."""

    def __init__(self) -> None:
        self._routes: dict[str, _RouteModel] = {}

    def order(self, route: str, task: str, x: Sequence[float], targets: Sequence[str]) -> list[int]:
        """Return positions of `targets`, the preferred one first."""
        model = self._routes.get(route)
        if model is None:
            return list(range(len(targets)))
        bounds = [model.arm(task, target).bound(x) for target in targets]
        return sorted(range(len(targets)), key=bounds.__getitem__, reverse=True)

    def knows(self, route: str) -> bool:
        """Say whether anything was learned for a route."""
        return route in self._routes

    def learn(
        self,
        route: str,
        task: str,
        x: Sequence[float],
        target: str,
        outcome: Outcome,
        *,
        preferred: str | None = None,
        cost_nanos: int | None = None,
        rating: float = 0.5,
        prefer: Prefer,
        others: Iterable[str] = (),
    ) -> float:
        """Learn from how a request at `target` ended, and return its reward.

        Args:
            route: which model learns.
            task: the kind of task.
            x: its features.
            target: who answered.
            outcome: how it ended.
            preferred: the target that the model had preferred; for the report.
            cost_nanos: what it cost.
            rating: how good the answer was, 0 to 1, by whoever can say; else the target's quality.
            prefer: what counts on the route.
            others: who else could have taken it; for the regret.
        """
        model = self._routes.setdefault(route, _RouteModel())
        reward = model.reward.of(outcome, cost_nanos=cost_nanos, rating=rating, prefer=prefer)
        arm = model.arm(task, target)
        figures = model.figures
        mine = arm.estimate(x)
        best = max((model.arm(task, other).estimate(x) for other in others), default=mine)
        figures.regret += max(best - mine, 0.0)
        figures.seen += 1
        figures.reward += reward
        figures.by_target[target] = figures.by_target.get(target, 0) + 1
        if preferred == target:
            figures.agreed += 1
            figures.reward_agreed += reward
        arm.learn(x, reward)
        return reward

    def report(self) -> JsonObject:
        """Return, by route, how often the model agreed with what was done, and what it would have been worth.

        `regret` is the sum, over all requests, of how much more reward the model expected of its own choice.
        """
        return {route: _told(model.figures) for route, model in sorted(self._routes.items())}

    def to_json(self) -> JsonObject:
        """Return everything that was learned, for `load`."""
        return {
            "version": _VERSION,
            "features": list(FEATURES),
            "routes": {
                name: {
                    "tasks": {
                        task: {
                            target: {"inverse": arm.inverse, "b": arm.b, "seen": arm.seen}
                            for target, arm in arms.items()
                        }
                        for task, arms in model.tasks.items()
                    },
                    "usual": [model.reward.latency_s, model.reward.cost_nanos, model.reward.count],
                    "figures": [
                        model.figures.seen,
                        model.figures.agreed,
                        model.figures.reward,
                        model.figures.reward_agreed,
                        model.figures.regret,
                        model.figures.by_target,
                    ],
                }
                for name, model in self._routes.items()
            },
        }

    def load(self, state: JsonObject) -> None:
        """Take what `to_json` gave in place of what is known.

        Raises:
            InvalidInput: if it is not such a state, or one of other features; nothing changes then.
        """
        if state.get("version") != _VERSION or tuple(state.get("features", ())) != FEATURES:
            raise InvalidInput(
                "This is not a state of the learned routes that this version reads.",
                hint="Train anew with `mosaic routes report --history FILE`.",
            )
        try:
            self._routes = {name: _loaded(value) for name, value in state["routes"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"The state of the learned routes is damaged: {error!r}.") from None


def _told(figures: _Figures) -> JsonObject:
    seen = figures.seen
    return {
        "requests": seen,
        "agreement": round(figures.agreed / seen, 4) if seen else None,
        "mean_reward": round(figures.reward / seen, 4) if seen else None,
        "mean_reward_when_agreed": round(figures.reward_agreed / figures.agreed, 4)
        if figures.agreed
        else None,
        "regret": round(figures.regret, 4),
        "targets": dict(sorted(figures.by_target.items(), key=lambda item: -item[1])),
    }


def _loaded(value: JsonObject) -> _RouteModel:
    model = _RouteModel()
    latency_s, cost_nanos, count = value["usual"]
    model.reward = Reward(float(latency_s), float(cost_nanos), int(count))
    seen, agreed, reward, reward_agreed, regret, by_target = value["figures"]
    model.figures = _Figures(seen, agreed, reward, reward_agreed, regret, dict(by_target))
    for task, arms in value["tasks"].items():
        model.tasks[task] = {target: _arm(shown) for target, shown in arms.items()}
    return model


def _arm(shown: JsonObject) -> _Arm:
    arm = _Arm()
    size = len(FEATURES)
    inverse, b = shown["inverse"], [float(value) for value in shown["b"]]
    if len(inverse) != size or any(len(row) != size for row in inverse) or len(b) != size:
        raise ValueError("an arm of another size")
    arm.inverse = [[float(value) for value in row] for row in inverse]
    arm.b = b
    arm.weights = [_product(row, b) for row in arm.inverse]
    arm.seen = int(shown["seen"])
    return arm
