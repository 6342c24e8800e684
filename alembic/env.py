"""How alembic reaches the database: over a connection that the caller holds, or over `-x url=…`."""

import asyncio

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from server.storage import migrations, tables


def migrate(connection: Connection) -> None:
    """Run the migrations on one connection."""
    context.configure(connection=connection, target_metadata=tables.Row.metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate(url: str) -> None:
    """Open a connection of our own: alembic was called from the command line."""
    engine = create_async_engine(migrations.driver_url(url), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


held: Connection | None = context.config.attributes.get("connection")
if held is not None:
    migrate(held)
else:
    asyncio.run(connect_and_migrate(context.get_x_argument(as_dictionary=True)["url"]))
