"""What infra/compose/store.sh does at MinIO, at a gateway of Ceph: buckets, and the rights of the same policy files.

Ceph has no policies of users as MinIO has them, so each bucket is given one that names them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import boto3

POLICIES = Path("/etc/quartet/policies")
BUCKETS = ("quartet", "mlflow")


def main() -> None:
    """Make buckets and rights; does no harm when it runs again."""
    client = boto3.client(
        "s3",
        endpoint_url="http://object-store:9000",
        region_name="us-east-1",
        aws_access_key_id="root",
        aws_secret_access_key=os.environ["STORE_ROOT_SECRET"],
    )
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
        policy = {"Version": "2012-10-17", "Statement": [*_statements(bucket)]}
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    client.put_bucket_versioning(Bucket="quartet", VersioningConfiguration={"Status": "Enabled"})
    print("buckets and users are there")  # noqa: T201


def _statements(bucket: str) -> list[dict[str, Any]]:
    arn = f"arn:aws:s3:::{bucket}"
    found = []
    for path in sorted(POLICIES.glob("*.json")):
        for statement in json.loads(path.read_text(encoding="utf-8"))["Statement"]:
            resources = [name for name in statement["Resource"] if name == arn or name.startswith(f"{arn}/")]
            if resources:
                principal = {"AWS": [f"arn:aws:iam:::user/{path.stem}"]}
                found.append({**statement, "Principal": principal, "Resource": resources})
    return found


if __name__ == "__main__":
    main()
