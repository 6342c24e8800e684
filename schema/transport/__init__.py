"""How requests come in and results go out: HTTP, server-sent events and WebSocket."""
