"""What alembic runs: the migrations, within the transaction that `serving.database.migrate` began."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
