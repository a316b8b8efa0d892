"""The search for a change that passes the tests."""
