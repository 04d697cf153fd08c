"""One thread drives the schedulers; the event loop asks it and hears of every token."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller
from queue import Empty, SimpleQueue

from verifine.errors import EngineError
from verifine.rollout.scheduler import Request, Scheduler, TokenEvent
from verifine.wire.api_error import ApiError, failed_request, too_many_requests, unknown_model

logger = logging.getLogger(__name__)

REMEMBERED_ANSWERS = 32
"""The last ones, whose mean duration is how long a refused client is told to wait."""

LONGEST_RETRY_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a model's answers are written."""

    make_scheduler: Callable[[], Scheduler]
    """A fresh one also takes the place of one that has failed."""
    count: int
    """Answers that are written at the same time."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Exchange:
    """What is asked in one go, and what comes back. Only the event loop touches it."""

    model: str
    unheard: int
    """Answers whose end has not been given out."""
    unwritten: int
    """Answers that the engine has not ended."""
    began: float
    events: asyncio.Queue[TokenEvent | ApiError] = field(default_factory=asyncio.Queue)
    """An error ends them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """Something for the engine's thread to do between two tokens."""

    model: str
    act: Callable[[Scheduler], None] | None
    """None: the model is not served any more."""


class EngineThread:
    """Requests join at the next token. Used by one event loop, between `start` and `close`."""

    def __init__(
        self, models: Mapping[str, Places], waiting_requests: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`waiting_requests`: those that may wait for a place at the same time."""
        self._models = dict(models)
        self._waiting_requests = waiting_requests
        self._clock = clock
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._exchanges: dict[str, _Exchange] = {}
        """By the id of each request that is not finished."""
        self._waiting: set[_Exchange] = set()
        self._unwritten: Counter[str] = Counter()
        """Answers of each model that the engine has not ended."""
        self._durations: deque[float] = deque(maxlen=REMEMBERED_ANSWERS)

    @property
    def waiting(self) -> int:
        """Requests that have found no place yet."""
        return len(self._waiting)

    @property
    def answering(self) -> int:
        """Requests that are being answered."""
        return len(set(self._exchanges.values()) - self._waiting)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after the token that it is computing; what is not finished is dropped."""
        self._orders.put(None)
        self._thread.join()

    def add_model(self, name: str, places: Places) -> None:
        """From here on it may be asked; none of that name may be served."""
        self._models[name] = places

    def remove_model(self, name: str) -> None:
        """Drops what is asked of it."""
        del self._models[name]
        for exchange in self._asked(name):
            exchange.events.put_nowait(_removed(name))
        self._orders.put(_Order(model=name, act=None))

    def refuse_if_full(self) -> None:
        """Before a request is read.

        Raises:
            ApiError: as many wait as may.
        """
        if self._waiting_requests and len(self._waiting) >= self._waiting_requests:
            raise too_many_requests(len(self._waiting), self._retry_after_s())

    @contextmanager
    def answer(self, model: str, requests: Sequence[Request]) -> Iterator[AsyncIterator[TokenEvent]]:
        """The tokens of these requests as they come. What is unfinished when the context ends frees its place.

        Raises:
            ApiError: the model is not served any more, or too many wait already (at once); or it is removed, or the
                engine fails (from the iterator).
        """
        exchange = self._begin(model, sum(len(request.keys) for request in requests))
        self._exchanges |= {request.id: exchange for request in requests}
        for request in requests:
            self._orders.put(_Order(model=model, act=partial(self._add, request)))
        try:
            yield self._events(exchange)
        finally:
            self._waiting.discard(exchange)
            self._unwritten[model] -= exchange.unwritten
            for request in requests:
                if self._exchanges.pop(request.id, None) is not None and exchange.unwritten:
                    self._orders.put(_Order(model=model, act=methodcaller("cancel", request.id)))

    def _begin(self, model: str, answers: int) -> _Exchange:
        """An exchange that waits if there are not enough free places."""
        if not self._thread.is_alive():
            raise failed_request("the engine has ended", status=503)
        if (places := self._models.get(model)) is None:
            raise unknown_model(model, ", ".join(self._models))
        exchange = _Exchange(model=model, unheard=answers, unwritten=answers, began=self._clock())
        taken = self._unwritten[model]
        if taken + answers > places.count and taken:
            if len(self._waiting) >= self._waiting_requests:
                raise too_many_requests(len(self._waiting), self._retry_after_s())
            self._waiting.add(exchange)
        self._unwritten[model] += answers
        return exchange

    def _retry_after_s(self) -> int:
        mean = sum(self._durations) / len(self._durations) if self._durations else 1.0
        return min(max(math.ceil(mean), 1), LONGEST_RETRY_S)

    async def _events(self, exchange: _Exchange) -> AsyncIterator[TokenEvent]:
        while exchange.unheard:
            event = await exchange.events.get()
            if isinstance(event, ApiError):
                raise event
            if event.finish_reason is not None:
                exchange.unheard -= 1
            yield event
        self._durations.append(self._clock() - exchange.began)

    def _deliver(self, events: Sequence[TokenEvent]) -> None:
        for event in events:
            exchange = self._exchanges.get(event.request_id)
            if exchange is not None:
                self._waiting.discard(exchange)
                if event.finish_reason is not None:
                    exchange.unwritten -= 1
                    self._unwritten[exchange.model] -= 1
                exchange.events.put_nowait(event)

    def _fail(self, request_id: str) -> None:
        if (exchange := self._exchanges.get(request_id)) is not None:
            exchange.events.put_nowait(_engine_failed())

    def _fail_model(self, model: str) -> None:
        for exchange in self._asked(model):
            exchange.events.put_nowait(_engine_failed())

    def _asked(self, model: str) -> set[_Exchange]:
        return {exchange for exchange in self._exchanges.values() if exchange.model == model}

    # In the engine's thread:

    def _run(self) -> None:
        schedulers: dict[str, Scheduler] = {}
        """Each from the first request on."""
        while (orders := self._take_orders(schedulers.values())) is not None:
            for order in orders:
                if order.act is None:
                    schedulers.pop(order.model, None)
                else:
                    self._guard(schedulers, order.model, order.act)
            for name in list(schedulers):
                if not schedulers[name].is_idle:
                    self._guard(schedulers, name, self._step)

    def _take_orders(self, schedulers: Collection[Scheduler]) -> list[_Order] | None:
        """What was ordered; waits for it while there is nothing to write. None: it is over."""
        orders: list[_Order] = []
        is_idle = all(scheduler.is_idle for scheduler in schedulers)
        while True:
            try:
                order = self._orders.get(block=is_idle and not orders)
            except Empty:
                return orders
            if order is None:
                return None
            orders.append(order)

    def _guard(self, schedulers: dict[str, Scheduler], model: str, act: Callable[[Scheduler], None]) -> None:
        places = self._models.get(model)
        if places is None:
            return  # removed just now: its answers have ended, and the order to drop its scheduler follows
        try:
            if model not in schedulers:
                schedulers[model] = places.make_scheduler()
            act(schedulers[model])
        except Exception:
            logger.exception("the engine of %s failed; its answers are dropped, and it starts afresh", model)
            schedulers.pop(model, None)
            self._tell(self._fail_model, model)

    def _step(self, scheduler: Scheduler) -> None:
        self._tell(self._deliver, scheduler.step())

    def _add(self, request: Request, scheduler: Scheduler) -> None:
        try:
            scheduler.add(request)
        except EngineError:
            logger.exception("a request does not fit the engine")
            self._tell(self._fail, request.id)

    def _tell(self, hear: Callable[..., None], told: object) -> None:
        """Calls `hear` in the event loop."""
        assert self._loop is not None, "started"
        self._loop.call_soon_threadsafe(hear, told)


def _engine_failed() -> ApiError:
    return failed_request("the engine failed while it wrote this answer; the server's log has the reason")


def _removed(model: str) -> ApiError:
    """Another one may be in its place, so clients ask again."""
    return failed_request(f"the model {model} was removed while it wrote this answer; ask again", status=503)
