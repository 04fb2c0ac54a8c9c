"""The words everyone shares: events, their context and errors, and the ports of the other rooms. Imports nothing of ours."""
