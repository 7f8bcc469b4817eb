"""Files of old models are given up by themselves: `serving.prune_hours`, by one process of a store."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from serving.blobs import Busy
from serving.settings import ServingSettings
from serving.store import Store

RETENTION, HOUR = "serving.prune_hours", 3600.0  # the actor in the history

log = logging.getLogger(__name__)


async def retain(store: Store, chosen: ServingSettings) -> None:
    """As often as the settings say, from the start on; what could not be done is left to the next round."""
    while chosen.prune_hours is not None:
        try:
            await run_in_threadpool(store.prune, chosen.keep_models, chosen.reach, RETENTION)
        except (SQLAlchemyError, Busy, OSError) as error:
            log.warning("%s: not this time: %s", RETENTION, error)
        await asyncio.sleep(chosen.prune_hours * HOUR)
