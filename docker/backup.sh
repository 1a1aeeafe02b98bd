#!/bin/sh
# Dumps the database into $BACKUPS, at once and then every night, and keeps the dumps of $KEEP_DAYS days. A dump holds keys
# sealed: it is worthless without ENCRYPTION_KEYRING, which belongs somewhere else. The queue is left out: what is due stands in
# the rows, and sweeps find it again. `backup.sh once` dumps once and ends. Restore: docs/operations.md.
set -eu
umask 077
url="${DATABASE_OWNER_URL:-$(cat "${DATABASE_OWNER_URL_FILE:?}")}"
folder="${BACKUPS:-/backups}"

dump() { # `set -e` does not reach into a function whose outcome is asked for
  name="$folder/aisuru-$(date -u +%Y%m%dT%H%M%SZ).dump"
  # Written beside its name first: what has the name is whole.
  pg_dump --format=custom --no-password --exclude-schema=pgmq --dbname="$url" --file="$name.part" &&
    pg_restore --list "$name.part" >/dev/null &&
    mv "$name.part" "$name" &&
    find "$folder" -name 'aisuru-*.dump*' -mtime "+${KEEP_DAYS:-14}" -delete &&
    echo "$name" &&
    noted
}

noted() { # for `aim_backup_age_seconds`; a dump is one even where nobody could be told
  psql --no-psqlrc --quiet --no-password --dbname="$url" --command="INSERT INTO assistance_chore (name, done_at)
    VALUES ('backup', now()) ON CONFLICT (name) DO UPDATE SET done_at = now(), failures = 0" ||
    echo "the dump was made; that it was could not be written into the database" >&2
}

while :; do
  if dump; then
    [ "${1:-}" != once ] || exit 0
    sleep 86400
  else
    echo "no dump was made; the next try is in ten minutes" >&2
    [ "${1:-}" != once ] || exit 1
    sleep 600
  fi
done
