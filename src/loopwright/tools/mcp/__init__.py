"""MCP servers as tools: pinned by what they are and by what they say, run in the sandbox, never trusted in either."""
