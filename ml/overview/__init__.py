"""What the Models page shows: read from the store and asked of the model server."""
