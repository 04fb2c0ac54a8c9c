"""Every limit of Postgres, of Temporal and of ours, each with its source (ADR 0032). docs/limits.md has its rows.

A limit of ours is checked where a value comes in: at append, at declaration, or at dispatch. It is below the servers' limits, so
no server has to refuse a value. An identity that is too long is refused with a typed error. A label is shortened, and ends in a
hash (`text.labelled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["bytes", "JSON bytes", "characters", "items"]
"""JSON bytes are the bytes of the text as JSON in UTF-8, which Temporal counts for a payload."""
KIB: Final = 1024
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FarLimit:
    """A limit of a server that we speak to.

    Attributes:
        far_end: The server, and its set-up.
        most: The largest value that it takes.
        unit: Temporal's frontend counts bytes of UTF-8 (`len` in Go), a column `VARCHAR(n)` counts characters.
        source: The evidence: a dynamic config of Temporal by name, its SQL schema, or a page of a manual.
    """

    far_end: str
    what: str
    most: int
    unit: Unit
    source: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of ours.

    Attributes:
        most: The largest value that we take.
        judged: Where we check it.
        excess: What happens to a larger value.
        keeps: The limits of the servers that it stays below.
    """

    what: str
    most: int
    unit: Unit
    judged: str
    excess: str
    keeps: tuple[FarLimit, ...] = ()


# -- Temporal. Names of dynamic configs and their defaults: common/dynamicconfig/constants.go of temporalio/temporal.

_CONFIG: Final = "dynamic config "
_SCHEMA: Final = "schema/postgresql/v12 and schema/mysql/v8: "

TEMPORAL_ID: Final = FarLimit(
    "Temporal",
    "an id or a name: of workflow, activity, timer, signal, type, task queue, namespace, identity, request",
    1000,
    "bytes",
    f"{_CONFIG}limit.maxIDLength",
)
TEMPORAL_SQL_ID: Final = FarLimit(
    "Temporal on SQL",
    "an id or a name",
    255,
    "bytes",
    f"{_SCHEMA}VARCHAR(255), in characters; its development-sql.yaml sets limit.maxIDLength to 255 bytes",
)
TEMPORAL_KEYWORD: Final = FarLimit(
    "Temporal on SQL", "a keyword among the search attributes", 255, "characters", f"{_SCHEMA}visibility, Keyword01 VARCHAR(255)"
)
TEMPORAL_ATTRIBUTE: Final = FarLimit(
    "Temporal", "the JSON of one search attribute", 2 * KIB, "bytes", f"{_CONFIG}frontend.searchAttributesSizeOfValueLimit"
)
TEMPORAL_SUMMARY: Final = FarLimit(
    "Temporal", "the payload of a summary", 400, "bytes", f"{_CONFIG}limit.userMetadataSummarySize"
)
TEMPORAL_DETAILS: Final = FarLimit(
    "Temporal", "the payload of details", 20_000, "bytes", f"{_CONFIG}limit.userMetadataDetailsSize"
)
TEMPORAL_BUILD_ID: Final = FarLimit("Temporal", "a build id", 255, "bytes", f"{_CONFIG}limit.workerBuildIdSize")
TEMPORAL_BLOB: Final = FarLimit(
    "Temporal",
    "the payloads of one event: arguments, a result, a failure, a memo",
    2 * MIB,
    "bytes",
    f"{_CONFIG}limit.blobSize.error and limit.memoSize.error; Cloud: docs.temporal.io/troubleshooting/blob-size-limit-error",
)
TEMPORAL_MESSAGE: Final = FarLimit(
    "Temporal", "one gRPC message", 4 * MIB, "bytes", "docs.temporal.io/self-hosted-guide/defaults, gRPC"
)
TEMPORAL_STATE: Final = FarLimit(
    "Temporal",
    "the mutable state of a run: the last error of each activity that is retried, and more",
    8 * MIB,
    "bytes",
    f"{_CONFIG}limit.mutableStateSize.error",
)
TEMPORAL_HISTORY_BYTES: Final = FarLimit(
    "Temporal", "the history of a run", 50 * MIB, "bytes", f"{_CONFIG}limit.historySize.error"
)
TEMPORAL_HISTORY_EVENTS: Final = FarLimit(
    "Temporal", "events in the history of a run", 50 * KIB, "items", f"{_CONFIG}limit.historyCount.error"
)
TEMPORAL_SIGNALS: Final = FarLimit(
    "Temporal", "signals to a run", 10_000, "items", f"{_CONFIG}history.maximumSignalsPerExecution"
)
TEMPORAL_ACTIVITIES: Final = FarLimit(
    "Temporal", "pending activities of a run", 2000, "items", f"{_CONFIG}limit.numPendingActivities.error"
)

# -- Postgres, from version 14 on

POSTGRES_FIELD: Final = FarLimit("Postgres", "a value of a column or a parameter", 1024 * MIB - 1, "bytes", "manual, appendix K")
POSTGRES_INDEX_ROW: Final = FarLimit(
    "Postgres", "an entry of a B-tree, of all its columns", 2704, "bytes", "BTMaxItemSize of a page of 8 KiB, nbtree.h"
)
POSTGRES_IDENTIFIER: Final = FarLimit(
    "Postgres", "a schema, a channel, an application_name", 63, "bytes", "manual, appendix K: NAMEDATALEN - 1"
)
POSTGRES_NOTIFY: Final = FarLimit("Postgres", "the payload of NOTIFY", 7999, "bytes", "manual, NOTIFY")
POSTGRES_PARAMETERS: Final = FarLimit(
    "Postgres", "parameters of a statement", 32_767, "items", "asyncpg, protocol/prepared_stmt.pyx; the server takes 65,535"
)
POSTGRES_BIGINT: Final = FarLimit("Postgres", "a version or a position", 2**63 - 1, "items", "manual, numeric types: bigint")
POSTGRES_SMALLINT: Final = FarLimit("Postgres", "a schema version", 2**15 - 1, "items", "manual, numeric types: smallint")

FAR_ENDS: Final = tuple(value for value in list(globals().values()) if isinstance(value, FarLimit))

# -- ours

STREAM_ID: Final = Limit(
    "stream id", 512, "bytes", "append, and when a saga emits", "refused: InvalidStreamId", (POSTGRES_INDEX_ROW,)
)
TENANT: Final = Limit(
    "tenant", 128, "bytes", "`event_context(tenant=…)`", "refused: InvalidTenant", (POSTGRES_INDEX_ROW, TEMPORAL_SQL_ID)
)
NAME: Final = Limit(
    "name of an event type, saga, step or projection",
    128,
    "bytes",
    "its declaration",
    "refused: DeclarationError",
    (TEMPORAL_SQL_ID,),
)
APP: Final = Limit(
    "name of the app",
    100,
    "bytes",
    "settings",
    "refused: ConfigurationError; `uno/<app>/<subscription>` is a workflow id",
    (TEMPORAL_SQL_ID,),
)
SCHEMA: Final = Limit("schema of the store", 63, "bytes", "settings", "refused: ConfigurationError", (POSTGRES_IDENTIFIER,))
NAMESPACE: Final = Limit(
    "namespace of Temporal", 255, "bytes", "settings", "refused: ConfigurationError", (TEMPORAL_ID, TEMPORAL_SQL_ID)
)
KEY: Final = Limit(
    "key of a saga's run",
    2000,
    "bytes",
    "dispatch",
    "refused: InvalidKey; the subscription of the saga halts at the event",
    (POSTGRES_INDEX_ROW,),
)
WORKFLOW_ID: Final = Limit(
    "workflow id of a run", 255, "bytes", "dispatch", "cut; ends in a hash of saga, tenant and key", (TEMPORAL_SQL_ID,)
)
IDENTITY: Final = Limit(
    "identity of a worker", 200, "bytes", "a worker's start", "shortened, because a host's name may be long", (TEMPORAL_SQL_ID,)
)
METADATA: Final = Limit(
    "metadata of an event: correlation and causation id, principal, traceparent",
    16 * KIB,
    "bytes",
    "append",
    "refused: InvalidEvent",
    (POSTGRES_FIELD,),
)
CORRELATION: Final = Limit(
    "correlation id as the search attribute UnoCorrelation",
    255,
    "bytes",
    "dispatch",
    "shortened; the event, the logs and the steps keep the whole id",
    (TEMPORAL_KEYWORD, TEMPORAL_ATTRIBUTE),
)
PAYLOAD: Final = Limit("payload of an event", MIB, "bytes", "append", "refused: InvalidEvent", (POSTGRES_FIELD, TEMPORAL_BLOB))
BATCH_EVENTS: Final = Limit("events of one append", 10_000, "items", "append", "refused: InvalidEvent")
BATCH: Final = Limit(
    "bytes of one append, of all its events", 64 * MIB, "bytes", "append", "refused: InvalidEvent", (POSTGRES_FIELD,)
)
INLINE: Final = Limit(
    "payload of an event that travels to a run",
    128 * KIB,
    "bytes",
    "dispatch",
    "the run reads it from the log, by its position",
    (TEMPORAL_BLOB,),
)
INLINE_RUN: Final = Limit(
    "payloads of events that travel to one run from one dispatcher, together",
    8 * MIB,
    "bytes",
    "dispatch",
    "the run reads those that follow from the log, by their positions",
    (TEMPORAL_HISTORY_BYTES,),
)
VALUE: Final = Limit(
    "argument or result of a step; base64 in a codec adds a third",
    3 * MIB // 2,
    "bytes",
    "the call, and the step's end",
    "refused",
    (TEMPORAL_BLOB,),
)
IN_FLIGHT: Final = Limit(
    "steps and emitted events of one run that are in flight",
    2000,
    "items",
    "the call",
    "refused before any of them begins: TooManyAtOnce, a bug of the saga",
    (TEMPORAL_ACTIVITIES,),
)
MESSAGE_ARGUMENTS: Final = Limit(
    "arguments of the calls that a run begins in one workflow task, together; base64 in a codec adds a third",
    5 * MIB // 2,
    "bytes",
    "the call",
    "the call begins in the next workflow task",
    (TEMPORAL_MESSAGE,),
)
TASK_MESSAGE: Final = Limit(
    "all that one workflow task of a saga sends, its own calls of Temporal's SDK included",
    4 * MIB - 128 * KIB,
    "bytes",
    "the task's end",
    "the task fails: MessageTooLarge, a bug of the saga",
    (TEMPORAL_MESSAGE,),
)
ERROR: Final = Limit(
    "an error with its details and causes; base64 in a codec adds a third",
    3 * MIB // 2,
    "bytes",
    "as it is written",
    "its details are left out, and its causes if need be",
    (TEMPORAL_BLOB,),
)
RETRIED_ERROR: Final = Limit(
    "an error of an attempt that is followed by another, with its stack and causes",
    2000,
    "bytes",
    "as it is written",
    "causes, stack and message are cut; the log has them",
    (TEMPORAL_STATE,),
)
HEARTBEAT: Final = Limit(
    "details that a step gives to its heartbeat",
    1000,
    "bytes",
    "the heartbeat",
    "refused: InvalidValue, and the step fails",
    (TEMPORAL_STATE,),
)
SUMMARY: Final = Limit(
    "summary in the UI; a codec takes its share of the far end's limit",
    200,
    "JSON bytes",
    "dispatch",
    "shortened",
    (TEMPORAL_SUMMARY,),
)
DETAILS: Final = Limit(
    "current details in the UI", 16_000, "characters", "as they are written", "cut; a query carries them", (TEMPORAL_BLOB,)
)
MESSAGE: Final = Limit(
    "message of an error that travels or halts something", 10_000, "characters", "as it is written", "cut", (TEMPORAL_BLOB,)
)
STACK: Final = Limit("stack of an error", 8000, "characters", "as it is written", "cut in its middle", (TEMPORAL_BLOB,))
REASON: Final = Limit("reason of a run's end", 1000, "characters", "the end", "cut", (TEMPORAL_BLOB,))
ERROR_TYPE: Final = Limit("name of an error's type", 200, "bytes", "as it is written", "shortened", (TEMPORAL_SQL_ID,))
FIELD: Final = Limit("field of a log line", 8000, "characters", "as it is written", "cut")
CELL: Final = Limit(
    "value in a table of the command line", 2000, "characters", "as it is shown", "cut; --json has the whole value"
)
SCHEMA_VERSION: Final = Limit(
    "schema version of an event", 2**15 - 1, "items", "its declaration", "refused: DeclarationError", (POSTGRES_SMALLINT,)
)

LIMITS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Limit))


def rows() -> list[str]:
    """The rows of docs/limits.md: ours, and those of the far ends."""
    ours = [
        f"| {one.what} | {one.most:,} {one.unit} | {one.judged} | {one.excess} | "
        + "; ".join(f"{far.far_end}: {far.most:,} {far.unit}" for far in one.keeps)
        + " |"
        for one in LIMITS
    ]
    return [*ours, *(f"| {far.far_end} | {far.what} | {far.most:,} {far.unit} | {far.source} |" for far in FAR_ENDS)]
