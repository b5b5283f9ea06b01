"""Run by Alembic: migrates on the connection that `migrate` hands over, in its transaction."""

from alembic import context

from ltm_core.stores.migrations import VERSION_TABLE
from ltm_core.stores.sql.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
