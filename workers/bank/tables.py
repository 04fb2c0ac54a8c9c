"""The bank's own tables, in the schema `bank`, beside the event store in the same database."""


async def create(dsn: str) -> None:
    """Make the bank's schema and tables, and the provider's with its role, where they are missing.

    Args:
        dsn: The store's database, as a role that may create schemas and roles.
    """
    raise NotImplementedError
