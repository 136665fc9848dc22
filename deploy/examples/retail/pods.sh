# The demo's world, of network namespaces: a bridge in `pillion-net`, and a pod each for customer,
# users-1 to users-3, prices, a gateway and an intruder, joined to it by veth pairs.  The host's own network is not
# touched.  Services run as nobody, sidecars as uid 1337, whom capture leaves alone.
#
# The same functions as loopback.sh.

pods=(customer users-1 users-2 users-3 prices gateway intruder)
declare -gA address=([customer]=10.77.0.10 [users-1]=10.77.0.21 [users-2]=10.77.0.22
  [users-3]=10.77.0.23 [prices]=10.77.0.31
  [gateway]=10.77.0.40 [intruder]=10.77.0.66)
gateway=10.77.0.1
service_address=10.77.100.1 # what the names of services resolve to: nobody has it, the sidecar answers
app_uid=65534
sidecar_uid=1337

shop_url=http://${address[customer]}:8080
plain_users=${address[users-1]}:8080
gone_endpoint=${address[users-3]}:8080
collector=$gateway:4318
control_plane=$gateway:18000
gateway_address=${address[gateway]}:8080
users_endpoints=("${address[users-1]}:8080" "${address[users-2]}:8080" "${address[users-3]}:8080")

# Prints the reason and succeeds when this world cannot be.
why_no_pods() {
  local probe=pillion-probe-$$ error
  [[ $EUID -eq 0 ]] || { echo "not root" && return 0; }
  type -P ip >/dev/null || { echo "ip is not installed" && return 0; }
  error=$({
    ip netns add "$probe" && ip netns exec "$probe" ip link add type veth &&
      ip -n "$probe" link add br0 type bridge &&
      ip netns exec "$probe" "$pillion" capture apply
  } 2>&1) && error= || error=${error%%$'\n'*}
  ip netns delete "$probe" 2>/dev/null || true
  [[ -n $error ]] && echo "$error"
}

# A shopper stands outside of all pods, where the bridge is.
pod_prefix() { echo "ip netns exec pillion-${1/shopper/net}"; }
in_pod() { ip netns exec "pillion-${1/shopper/net}" "${@:2}"; }

admin_url() { echo "http://127.0.0.1:15000"; }
metrics_url() { echo "http://${address[$1]}:15090/stats/prometheus"; }

make_network() {
  local pod
  ip netns add pillion-net
  ip -n pillion-net link set lo up
  ip -n pillion-net link add br0 type bridge
  ip -n pillion-net address add "$gateway/24" dev br0
  ip -n pillion-net link set br0 up
  for pod in "${pods[@]}"; do
    ip netns add "pillion-$pod"
    ip -n "pillion-$pod" link add eth0 type veth peer name "$pod" netns pillion-net
    ip -n pillion-net link set "$pod" master br0 up
    ip -n "pillion-$pod" link set lo up
    ip -n "pillion-$pod" address add "${address[$pod]}/24" dev eth0
    ip -n "pillion-$pod" link set eth0 up
    ip -n "pillion-$pod" route add default via "$gateway"
  done
}

# /etc/netns/NAME/hosts is what processes in that namespace see as /etc/hosts.
make_names() {
  if [[ ! -e /etc/hosts ]]; then # the mount needs a place
    printf '127.0.0.1 localhost\n' >/etc/hosts
    touch "$run/made-etc-hosts"
  fi
  mkdir -p /etc/netns/pillion-customer
  printf '127.0.0.1 localhost\n%s users prices\n' "$service_address" >/etc/netns/pillion-customer/hosts
}

check_world() {
  if [[ -e /run/netns/pillion-net ]]; then
    die "the namespace pillion-net exists: is another demo running, with another PILLION_DEMO_DIR?"
  fi
}

begin_world() {
  begin_files pods
  make_names
  make_network
  say "Namespaces pillion-net, ${pods[*]/#/pillion-}"
}

end_world() {
  local name
  end_processes
  for name in net "${pods[@]}"; do
    [[ -e /run/netns/pillion-$name ]] || continue
    ip netns delete "pillion-$name" 2>/dev/null || rm -f "/run/netns/pillion-$name" # half made
  done
  rm -rf /etc/netns/pillion-customer
  rmdir /etc/netns 2>/dev/null || true
  if [[ -e $run/made-etc-hosts ]]; then rm -f /etc/hosts; fi
  remove_files
}

# start_service POD SCRIPT
start_service() {
  mkdir -p "$run/$1"
  chmod 755 "$run/$1"
  spawn "$run/$1/service.pid" "$run/$1/service.log" "$run/$1/service.log" \
    ip netns exec "pillion-$1" env NAME="$1" LISTEN=0.0.0.0:8080 PYTHONDONTWRITEBYTECODE=1 \
    setpriv --reuid $app_uid --regid $app_uid --clear-groups --no-new-privs \
    "$python" "$run/retail/$2.py"
}

service_url() { echo http://127.0.0.1:8080; }

service_answers() { in_pod "$1" curl -s "${@:2}" --max-time 1 -o /dev/null http://127.0.0.1:8080/; }

# write_config POD NAME: the short YAML of that service, into the pod.
write_config() { cp "$retail/$2.yaml" "$run/$1/sidecar.yaml"; }

# start_sidecar POD NAME
start_sidecar() {
  local dir=$run/$1
  if [[ ! -e $dir/certs ]]; then
    make_certificates "$1" "$2"
    write_config "$1" "$2"
    chown $sidecar_uid "$dir/certs/workload.key"
    touch "$dir/access.log" # which it opens by the name /dev/stdout
    chown $sidecar_uid "$dir/access.log"
  fi
  spawn "$dir/sidecar.pid" "$dir/access.log" "$dir/sidecar.log" \
    ip netns exec "pillion-$1" env --chdir="$dir" \
    setpriv --reuid $sidecar_uid --regid $sidecar_uid --clear-groups --no-new-privs \
    "$run/pillion" run -c "$dir/sidecar.yaml" --concurrency 1
}

sidecar_is_ready() { in_pod "$1" curl -sf --max-time 1 "$(admin_url "$1")/ready"; }

# Sends the pod's traffic through its sidecar from now on.
capture_pod() { in_pod "$1" "$run/pillion" capture apply --uid $sidecar_uid; }

# kill_pod POD: all of it at once, without a good-bye.
kill_pod() { signal KILL "$run/$1/sidecar.pid" "$run/$1/service.pid"; }

how_to_play() {
  cat <<PLAY

The demo keeps running.  Try:
  ip netns exec pillion-net curl -s $shop_url/customers/7/profile
  ip netns exec pillion-net curl -s $shop_url/customers/7/prices
  ip netns exec pillion-net curl -s $(metrics_url users-1)
  ip netns exec pillion-users-1 curl -s -X PUT -d true http://127.0.0.1:8080/broken   (and see /clusters)
  ip netns exec pillion-customer curl -s $(admin_url customer)/clusters
  ip netns exec pillion-customer curl -s $(admin_url customer)/help
  ip netns exec pillion-users-1 $run/pillion capture print
  ip netns exec pillion-intruder curl http://$plain_users/users/7
  edit $run/customer/sidecar.yaml and see $run/customer/sidecar.log
  edit $run/gateway/wishes.json (canary_percent, fault_percent), which its control plane passes on, and call
    ip netns exec pillion-net curl -s http://$gateway_address/users/7
  ip netns exec pillion-net curl -s -o /dev/null -H traceparent:\ 00-$(printf '%032d' 7)-$(printf '%016d' 7)-01 $shop_url/customers/7/profile
    and its spans, a second later: $python $run/retail/collector.py tree $run/collector/spans $(printf '%032d' 7)
End it with deploy/quickstart --stop
PLAY
}
