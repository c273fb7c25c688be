#!/bin/sh
# What PostgreSQL's own image does at its start: a cluster, made once with the script for databases, and the server.
set -eu

PGDATA=/var/lib/postgresql/data/pgdata
export PGDATA
programs=$(echo /usr/lib/postgresql/*/bin)
export PATH="$programs:$PATH"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --username postgres --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --silent --wait --options "-c listen_addresses=" start
    sh /docker-entrypoint-initdb.d/databases.sh
    pg_ctl --silent --wait stop
fi
exec postgres -c 'listen_addresses=*'
