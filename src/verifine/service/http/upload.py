"""A multipart form with one file, read as it arrives: fields into memory, the file onto the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from verifine.service.files import FileDraft, FileTooLargeError
from verifine.wire.api_error import ApiError, invalid_request

FIELD_BYTES = 1024
FIELDS = 16
DRAIN_BYTES = 64 << 20
"""What is read of a file that is too large, after it was: a client reads the answer when it has sent everything."""


@dataclass(slots=True, kw_only=True)
class UploadForm:
    """What has arrived."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    draft: FileDraft | None = None
    """None: there was no file."""
    is_complete: bool = False

    def discard(self) -> None:
        if self.draft is not None:
            self.draft.discard()


class FormReader:
    """Takes the bytes of a form in any pieces."""

    def __init__(self, boundary: bytes, begin: Callable[[], FileDraft]) -> None:
        """`begin` makes a draft for the file."""
        self.form = UploadForm()
        self._begin = begin
        self._headers: dict[bytes, bytes] = {}
        self._header, self._name, self._value = b"", "", bytearray()
        try:
            self._parser = self._make_parser(boundary)
        except ValueError as error:
            raise _no_form(error) from error

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._add_to_header,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Raises ApiError, FileTooLargeError, DiskError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _no_form(error) from error

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header.lower()] = bytes(self._value)
        self._header, self._value = b"", bytearray()

    def _begin_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = _text(options.get(b"name", b""))
        if self._name in self.form.fields or (self._name == "file" and self.form.draft is not None):
            raise invalid_request(f'the form has "{self._name[:80]}" twice', param=self._name[:80])
        if len(self.form.fields) >= FIELDS:
            raise invalid_request(f"the form has more than {FIELDS} fields", code="invalid_form")
        if self._name == "file":
            self.form.filename = _text(options.get(b"filename", b""))
            self.form.draft = self._begin()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file" and self.form.draft is not None:
            self.form.draft.write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_BYTES:
            raise invalid_request(f'"{self._name[:80]}" has more than {FIELD_BYTES} bytes', param=self._name[:80])

    def _end_part(self) -> None:
        if self._name != "file":
            self.form.fields[self._name] = _text(bytes(self._value))
        self._value = bytearray()

    def _end(self) -> None:
        self.form.is_complete = True


async def receive_form(request: Request, begin: Callable[[], FileDraft], max_seconds: float) -> UploadForm:
    """The form that a request holds. Its draft is the caller's; if there is an error, it is gone.

    Raises:
        ApiError: it is no form, or too large, or takes too long.
        ClientDisconnect: the client leaves.
        DiskError: the file cannot be written.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise invalid_request("the body must be multipart/form-data, with the parts file and purpose")
    reader, arriving = FormReader(options[b"boundary"], begin), request.stream()
    try:
        async with asyncio.timeout(max_seconds):
            await _read(reader, arriving)
    except TimeoutError:
        reader.form.discard()
        message = f"the file did not arrive within {max_seconds:g} s"
        raise invalid_request(message, code="request_timeout", status=408) from None
    except BaseException:
        reader.form.discard()
        raise
    return reader.form


async def _read(reader: FormReader, arriving: AsyncIterator[bytes]) -> None:
    try:
        async for data in arriving:
            await asyncio.to_thread(reader.write, data)
    except FileTooLargeError as error:
        reader.form.discard()
        await _drain(arriving)
        raise invalid_request(str(error), param="file", code="file_too_large", status=413) from error
    if not reader.form.is_complete:
        raise invalid_request("the form ends in the middle", code="invalid_form")


async def _drain(arriving: AsyncIterator[bytes]) -> None:
    count = 0
    async for data in arriving:
        count += len(data)
        if count > DRAIN_BYTES:
            return


def _no_form(error: ValueError) -> ApiError:
    return invalid_request(f"the body is no multipart form: {error}", code="invalid_form")


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
