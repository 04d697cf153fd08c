"""What the service remembers: tables, their migrations, and transactions on SQLite or PostgreSQL."""

from verifine.service.database.connection import Database
from verifine.service.database.migrate import migrate

__all__ = ["Database", "migrate"]
