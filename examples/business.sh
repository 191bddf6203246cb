#!/usr/bin/env bash
# The app's business, with curl alone: groups bound to a shop, an order that invites once, a live.
#
#   groupd serve --host-api http://127.0.0.1:7481
#   bash examples/business.sh http://127.0.0.1:7481 "$(groupd key make business)"
set -euo pipefail

url=$1 key=$2

api() { # METHOD JSON
    curl --silent --show-error --fail-with-body --max-time 30 "$url/v1/$1" \
        --header "Authorization: Bearer $key" --data "$2"
}

for name in "Tea friends" "Tea news" "Tea deals"; do
    made=$(api create "{\"as\": \"shop\", \"name\": \"$name\"}")
    group=$(sed -E 's/.*"group":"([^"]*)".*/\1/' <<<"$made")
    api bind "{\"group\": \"$group\", \"binding\": \"shop:42\"}" >/dev/null
done
echo "$(api bound_groups '{"binding": "shop:42"}' | grep -o '"[^"]\{16\}"' | wc -l) groups are bound to the shop"

# Told of twice, as queues do; and then the same customer orders again.
for order in o-1001 o-1001 o-1002; do
    answer=$(api order_completed "{\"user\": \"bob\", \"order\": \"$order\", \"binding\": \"shop:42\"}")
    echo "$order: $(grep -o '"status":"[a-z]*"' <<<"$answer" | sort | uniq -c | tr -s ' ')"
done

each_page() { # METHOD PARAMETERS: go through all groups, two at a time
    local page more="" next
    while :; do
        page=$(api "$1" "{$2, \"limit\": 2$more}")
        grep -o '"status":"[a-z]*"' <<<"$page"
        next=$(sed -nE 's/.*"next":"([^"]*)".*/\1/p' <<<"$page")
        [ -n "$next" ] || return 0
        more=", \"after\": \"$next\""
    done
}

card='{"title": "New teas 新茶", "url": "https://shop.example/live/7", "host": "Alice"}'
echo "live: $(each_page live_started "\"live\": \"l-7\", \"binding\": \"shop:42\", \"card\": $card" | sort | uniq -c | tr -s ' ')"
echo "over: $(each_page live_stopped '"live": "l-7"' | sort | uniq -c | tr -s ' ')"
