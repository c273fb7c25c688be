"""What the Models page shows: read from the store, and asked of the model server.

It imports neither Airflow nor a library for tables, so that a web server may call it::

    overview = load_overview(Context.from_environment(), datetime.now(UTC))
"""

from ml.overview.loading import load_headline, load_overview
from ml.overview.views import Headline, Overview

__all__ = ["Headline", "Overview", "load_headline", "load_overview"]
