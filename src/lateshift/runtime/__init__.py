"""Running jobs: the worker's control loop, its executors and duties, and the supervisor above several workers."""
