"""For driver authors: conformance suites and protocol simulators."""
