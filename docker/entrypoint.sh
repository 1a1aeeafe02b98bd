#!/bin/sh
# One image, several roles. `migrate` runs before the others, with DATABASE_OWNER_URL. `alive` is for the probes of worker and beat.
set -eu
cd "$(dirname "$0")/.."
role="${1:-web}"
[ $# -eq 0 ] || shift

starts() { # a container that is started again finds the file of the time before
  touch "${DATA_DIR:-/tmp}/$role-alive" || true
}

case "$role" in
  web)
    # Several processes count in files that each of them can read out for all.
    export PROMETHEUS_MULTIPROC_DIR="${DATA_DIR:-/tmp}/metrics-${PORT:-8000}"
    rm -rf "$PROMETHEUS_MULTIPROC_DIR"
    # On a full disk each counts for itself.
    mkdir -p "$PROMETHEUS_MULTIPROC_DIR" || unset PROMETHEUS_MULTIPROC_DIR
    exec python -m granian --interface asgi --no-ws \
      --http1-header-read-timeout 10000 --backlog 2048 --backpressure 2048 \
      --host "${HOST:-0.0.0.0}" --port "${PORT:-8000}" --workers "${WEB_CONCURRENCY:-1}" \
      --workers-kill-timeout "${DRAIN_SECONDS:-60}" --respawn-failed-workers \
      aisuru_mistral.asgi:application "$@"
    ;;
  worker)
    starts
    exec python -m celery -A aisuru_mistral.celery worker -Q aisuru --loglevel "${LOG_LEVEL:-INFO}" \
      --concurrency "${WORKER_CONCURRENCY:-4}" --without-gossip --without-mingle --without-heartbeat "$@"
    ;;
  beat)
    starts
    exec python -m celery -A aisuru_mistral.celery beat --loglevel "${LOG_LEVEL:-INFO}" \
      --pidfile= --schedule "${DATA_DIR:-/tmp}/beat-schedule" "$@"
    ;;
  migrate) exec python -m aisuru_mistral.launcher.prepare "$@" ;;
  manage) exec python manage.py "$@" ;;
  alive) # ROLE [MINUTES]: whether it has ended a task, or a step of a long one, within that time. None takes longer than 300 seconds, and one comes every second.
    [ -n "$(find "${DATA_DIR:-/tmp}/$1-alive" -mmin "-${2:-10}")" ]
    ;;
  doctor) exec python manage.py doctor "$@" ;;
  simulator) exec python manage.py mistral_simulator "$@" ;;
  *)
    echo "unknown role '$role': web, worker, beat, migrate, manage, doctor, alive or simulator" >&2
    exit 64
    ;;
esac
