"""Uploaded files, and those that jobs leave: their content on disk, what is known of them in the database."""

from verifine.service.files.draft import FileDraft, FileTooLargeError
from verifine.service.files.record import OwnedFile, Purpose
from verifine.service.files.store import FileInUseError, FileStore, UnknownFileError

__all__ = ["FileDraft", "FileInUseError", "FileStore", "FileTooLargeError", "OwnedFile", "Purpose", "UnknownFileError"]
