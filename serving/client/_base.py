"""What the four clients are: a language, a way to send, and the same calls, blocking or awaited."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from serving.client._calls import choose
from serving.client._errors import InvalidRequestError, UnavailableError
from serving.client._images import Encoded, prepare
from serving.client._retries import Attempts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import Settings
    from serving.client._answers import Explanation, ModelMetadata, Prediction, VersionStatus
    from serving.client._calls import Call, Choice, Language, T
    from serving.client._images import Images, Pixels

__all__ = ["AnswerLog", "AsyncClient", "Client"]


class AnswerLog(Protocol):
    """What is told of every answer, :class:`serving.request_log.RequestLog` for one."""

    def observe(
        self,
        images: Sequence[bytes] | None,
        answers: Sequence[Prediction],
        label: str | None,
        milliseconds: float,
    ) -> None:
        """Take one request's answers; returns at once, and never raises.

        Args:
            images: encoded; None for arrays.
            answers: one for each image.
            label: that was asked.
            milliseconds: from request to answer.
        """


class _Base:
    """What both kinds hold."""

    PORT: ClassVar[Literal["grpc_port", "rest_port"]]

    def __init__(
        self,
        address: str,
        language: Language,
        timeout_seconds: float,
        label: str | None,
        retries: int,
        log: AnswerLog | None,
    ) -> None:
        self.address = address
        self.label = label
        self._language = language
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._log = log

    @classmethod
    def from_settings(cls, settings: Settings, **changes: Any) -> Self:
        """A client of the server that the settings name, which asks the label they name.

        Args:
            settings: of which ``model_name`` and ``serving`` are read.
            changes: arguments of the constructor that differ.
        """
        serving = settings.serving
        arguments = {
            "host": serving.host,
            "port": getattr(serving, cls.PORT),
            "model_name": settings.model_name,
            "timeout_seconds": serving.timeout_seconds,
            "label": serving.label,
            "retries": serving.retries,
        }
        return cls(**(arguments | changes))

    def _attempts(self, timeout_seconds: float | None) -> Attempts:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        return Attempts(self.address, self._retries, seconds)

    def _choice(self, version: int | None, label: str | None) -> Choice:
        return choose(version, label, self.label)

    def _tell(self, asked: Encoded | Pixels, answers: Sequence[Prediction], choice: Choice, attempts: Attempts) -> None:
        if self._log is not None:
            images = asked.images if isinstance(asked, Encoded) else None
            self._log.observe(images, answers, choice.label, attempts.elapsed() * 1000)


class Client(_Base, ABC):
    """Asks one model of a server, and waits for the answers; may be shared by threads, and is closed by ``with``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def _send(self, call: Call[T], seconds: float) -> bytes:
        """One try."""

    def predict(
        self,
        images: Images,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Prediction]:
        """Classify images, one answer for each in their order.

        Args:
            images: one or a sequence of paths, encoded JPEG or PNG bytes, Pillow's pictures, uint8 [H, W, 3] or
                [H, W], or float arrays [S, S, 3] in [0, 1] of the model's own size; no images give no answers.
            version: asked instead of a label.
            label: asked instead of the client's; "" asks the highest version that is loaded.
            timeout_seconds: for the whole call, further tries included, instead of the client's.

        Raises:
            CallError: of the kind that says what went wrong. An image that does not decode is no error: its
                ``status`` tells.
        """
        attempts, choice = self._attempts(timeout_seconds), self._choice(version, label)
        prepared = prepare(images)
        if not len(prepared):
            return []
        answers = self._run(self._language.predict(prepared, choice), attempts)
        self._tell(prepared, answers, choice, attempts)
        return answers

    def explain(
        self,
        images: Images,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Explanation]:
        """As :meth:`predict`, with the attention map besides; float arrays are not taken."""
        attempts, choice = self._attempts(timeout_seconds), self._choice(version, label)
        prepared = _encoded(prepare(images))
        if not len(prepared):
            return []
        answers = self._run(self._language.explain(prepared, choice), attempts)
        self._tell(prepared, [answer.prediction for answer in answers], choice, attempts)
        return answers

    def classes(self, version: int | None = None, label: str | None = None) -> tuple[str, ...]:
        """The labels in the order of the probabilities.

        Raises:
            CallError: InvalidRequestError where the export is too old to have the signature ``classify``.
        """
        return self._run(self._language.classes(self._choice(version, label)), self._attempts(None))

    def status(self) -> list[VersionStatus]:
        """The versions the server has seen, from the highest to the lowest.

        Raises:
            CallError: no answer in time, or no such model.
        """
        return self._run(self._language.status(), self._attempts(None))

    def metadata(self, version: int | None = None, label: str | None = None) -> ModelMetadata:
        """The signatures of a version, and its number: which one a label means now, for one.

        Raises:
            CallError: no answer in time, or no such model.
        """
        return self._run(self._language.metadata(self._choice(version, label)), self._attempts(None))

    def _run(self, call: Call[T], attempts: Attempts) -> T:
        while True:
            try:
                return call.read(self._send(call, attempts.remaining()))
            except UnavailableError as error:
                pause = attempts.pause_after(error)
            time.sleep(pause)


class AsyncClient(_Base, ABC):
    """Asks one model of a server without blocking; belongs to one event loop, and is closed by ``async with``."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    async def _send(self, call: Call[T], seconds: float) -> bytes:
        """One try."""

    async def predict(
        self,
        images: Images,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Prediction]:
        """As :meth:`Client.predict`; files are read and pictures encoded in a thread."""
        attempts, choice = self._attempts(timeout_seconds), self._choice(version, label)
        prepared = await asyncio.to_thread(prepare, images)
        if not len(prepared):
            return []
        answers = await self._run(self._language.predict(prepared, choice), attempts)
        self._tell(prepared, answers, choice, attempts)
        return answers

    async def explain(
        self,
        images: Images,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Explanation]:
        """As :meth:`Client.explain`."""
        attempts, choice = self._attempts(timeout_seconds), self._choice(version, label)
        prepared = _encoded(await asyncio.to_thread(prepare, images))
        if not len(prepared):
            return []
        answers = await self._run(self._language.explain(prepared, choice), attempts)
        self._tell(prepared, [answer.prediction for answer in answers], choice, attempts)
        return answers

    async def classes(self, version: int | None = None, label: str | None = None) -> tuple[str, ...]:
        """As :meth:`Client.classes`."""
        return await self._run(self._language.classes(self._choice(version, label)), self._attempts(None))

    async def status(self) -> list[VersionStatus]:
        """As :meth:`Client.status`."""
        return await self._run(self._language.status(), self._attempts(None))

    async def metadata(self, version: int | None = None, label: str | None = None) -> ModelMetadata:
        """As :meth:`Client.metadata`."""
        return await self._run(self._language.metadata(self._choice(version, label)), self._attempts(None))

    async def _run(self, call: Call[T], attempts: Attempts) -> T:
        while True:
            try:
                return call.read(await self._send(call, attempts.remaining()))
            except UnavailableError as error:
                pause = attempts.pause_after(error)
            await asyncio.sleep(pause)


def _encoded(images: Encoded | Pixels) -> Encoded:
    if not isinstance(images, Encoded):
        raise InvalidRequestError(
            f"{len(images)} float arrays cannot be explained: `explain` takes encoded images.",
            "Give files, bytes, pictures or uint8 arrays.",
        )
    return images
