"""Sagas and steps: what may run inside Temporal's workflow sandbox. Imports only `events`, and stays light."""
