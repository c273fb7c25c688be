"""The TensorFlow Serving side: client, synchronisation to a server's volume, and the local server."""
