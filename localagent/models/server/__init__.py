"""What backends share that ask a model server over HTTP: address, limits, replies, errors."""
