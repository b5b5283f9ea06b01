"""Run by Alembic: migrates on the connection that `migrate` hands over, in its transaction."""

from alembic import context

from ltm_core.stores.migrations import VERSION_TABLE
from ltm_core.stores.sql.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    # Named where it could be hidden by one of the same name in another schema of the search path.
    version_table_schema=connection.dialect.default_schema_name if connection.dialect.name == "postgresql" else None,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
