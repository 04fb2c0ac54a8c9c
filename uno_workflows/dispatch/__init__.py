"""The one place that knows both the log and Temporal: it starts sagas and feeds them, and hosts the pumps."""
