#!/bin/sh
# Makes the buckets, and users who may do no more than they have to. Does no harm when it runs again, and gives a user
# whose secret has changed in .env the new one.
set -eu

policies=/etc/quartet/policies
mc alias set --quiet store http://object-store:9000 root "$STORE_ROOT_SECRET" >/dev/null

for bucket in quartet mlflow; do
    mc mb --quiet --ignore-existing "store/$bucket"
done
# What was overwritten or deleted by mistake can be had back for a month.
mc version enable --quiet store/quartet
mc ilm rule ls --quiet store/quartet >/dev/null 2>&1 ||
    mc ilm rule add --quiet --noncurrent-expire-days 30 --expire-delete-marker store/quartet

add_user() {
    mc admin user add --quiet store "$1" "$2"
    mc admin policy create --quiet store "$1" "$policies/$1.json"
    # Says so with an error when the user has the policy already.
    mc admin policy attach --quiet store "$1" --user "$1" 2>/dev/null ||
        mc admin user info --quiet store "$1" | grep -q "PolicyName: *$1"
}

add_user pipeline "$STORE_PIPELINE_SECRET"
add_user reader "$STORE_READER_SECRET"
add_user sync "$STORE_SYNC_SECRET"
add_user uploader "$STORE_UPLOADER_SECRET"
add_user mlflow "$STORE_MLFLOW_SECRET"
echo "buckets and users are there"
