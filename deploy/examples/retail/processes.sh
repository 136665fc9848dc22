# Processes of the demo, each remembered in a file as `PID START`: the start time tells whether a
# number still means the process that we began.  Sourced by quickstart; $run is where files go.

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# remember FILE PID
remember() { printf '%s %s\n' "$2" "$(start_time "$2")" >"$1"; }

# is_alive FILE: the process remembered there still runs.
is_alive() {
  local pid start
  [[ -e $1 ]] && read -r pid start <"$1" && [[ -n $start && $(start_time "$pid") == "$start" ]]
}

# spawn FILE OUTPUT ERRORS COMMAND...: in the background, out of reach of signals to the story.  It
# notes itself down before it becomes COMMAND: there is no moment in which nobody knows of it.
spawn() {
  local file=$1 output=$2 errors=$3
  shift 3
  rm -f "$file"
  {
    remember "$file" $BASHPID
    exec setsid "$@"
  } >>"$output" 2>>"$errors" </dev/null &
  disown $!
  wait_until 5 test -s "$file"
}

# signal NAME FILE...
signal() {
  local name=$1 file pid pids=()
  shift
  for file in "$@"; do
    if is_alive "$file"; then
      read -r pid _ <"$file"
      pids+=("$pid")
    fi
  done
  [[ ${#pids[@]} -eq 0 ]] || kill "-$name" "${pids[@]}" 2>/dev/null || true
}

all_gone() {
  local file
  for file in "$@"; do
    ! is_alive "$file" || return 1
  done
}

# wait_until SECONDS COMMAND...: tries it ten times a second.
wait_until() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || return 1
    sleep 0.1
  done
}

# end_story PID: that job with whatever it just called; empty if it never began.
end_story() {
  [[ -z $1 ]] || kill -TERM -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || wait_until 5 all_gone "$run/story" || true
}

# end_processes: asks all of them, waits, insists.
end_processes() {
  local files=("$run"/*/*.pid)
  [[ -e ${files[0]} ]] || return 0
  signal TERM "${files[@]}"
  wait_until 5 all_gone "${files[@]}" || signal KILL "${files[@]}"
  wait_until 5 all_gone "${files[@]}" || true
  rm -f "${files[@]}"
}

show_logs() {
  local log
  for log in "$run"/*/*.log; do
    [[ -s $log && $log != */access.log ]] || continue
    printf -- '--- the last lines of %s\n' "${log#"$run"/}"
    tail -n 5 "$log" | cut -c -400
  done >&2
}

# Takes the folder of the run away; the mark proves that it is ours.
remove_files() { [[ ! -e $run/mode ]] || rm -rf -- "${run:?}"; }

# begin_files MODE
begin_files() {
  mkdir -p "$run/retail" || die "cannot make the run's folder (PILLION_DEMO_DIR names another)"
  chmod 755 "$run" "$run/retail"
  printf '%s\n' "$1" >"$run/mode"
  remember "$run/owner" $$
  remember "$run/story" $BASHPID
  # Copies: the clone may be where other users cannot read, and the story edits its files.
  cp "$pillion" "$run/pillion"
  cp "$retail"/*.py "$run/retail/"
  chmod 755 "$run/pillion"
  chmod 644 "$run/retail"/*.py
}

# make_certificates POD SERVICE: the identity that the sidecar of POD shows.
make_certificates() {
  local certs=$run/$1/certs
  mkdir -p "$certs"
  "$run/pillion" ca issue --dir "$run/ca" --spiffe "spiffe://mesh.local/ns/shop/sa/$2" \
    --out-cert "$certs/workload.crt" --out-key "$certs/workload.key" >>"$run/ca.log"
  cp "$run/ca/ca.crt" "$certs/ca.crt"
  chmod 755 "$run/$1" "$certs"
  chmod 644 "$certs"/*.crt
  chmod 400 "$certs/workload.key"
}

make_ca() { "$run/pillion" ca init --dir "$run/ca" --trust-domain mesh.local >"$run/ca.log"; }
