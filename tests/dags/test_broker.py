"""What workers take from the broker."""


def test_a_worker_unpacks_no_pickle():
    from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

    assert DEFAULT_CELERY_CONFIG["accept_content"] == ["json"]
