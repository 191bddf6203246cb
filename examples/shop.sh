#!/usr/bin/env bash
# A shop's backend, with curl alone: a group, 200 customers, an order card, each reply heard once in
# effect although who hears is killed twice, a ban, and the audit of all that.
#
#   groupd serve --host-api http://127.0.0.1:7481
#   bash examples/shop.sh http://127.0.0.1:7481 "$(groupd key make shop)"
set -euo pipefail

url=$1 key=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/done"

api() { # METHOD JSON
    local answer
    answer=$(curl --silent --show-error --max-time 30 "$url/v1/$1" \
        --header "Authorization: Bearer $key" --data "$2") || return
    case $answer in '{"error"'*) echo "$1: $answer" >&2; return 1 ;; esac
    printf '%s\n' "$answer"
}

field() { # NAME: of the JSON on standard input, a string or a number of its own
    sed -E "s/.*\"$1\":\"?([^\",}]*).*/\1/"
}

# --- the group

group=$(api create '{"as": {"user": "shop", "name": "茶店", "plan": "wechat"}, "name": "老顾客 Tea friends", "ref": "tea-friends-'"$(date +%s)"'"}' | field group)
echo "the group is $group"

members=$(for n in $(seq 200); do printf '{"user":"customer%d","name":"顾客 %d"},' "$n" "$n"; done)
joined=$(api add_members "{\"group\": \"$group\", \"members\": [${members%,}]}" | grep -o '"status":"joined"' | wc -l)
echo "$joined customers joined"

card='{"type": "link", "url": "https://shop.example/orders/7", "title": "Order 7 has left 已发货"}'
seq=$(api post "{\"as\": \"system\", \"group\": \"$group\", \"card\": $card}" | field seq)
api history "{\"as\": \"system\", \"group\": \"$group\", \"after\": $((seq - 1))}" | grep --quiet '"type":"link"'
echo "the order card is there"

# --- the replies

replies() { # FIRST LAST: these customers say something about their order
    for n in $(seq "$1" "$2"); do
        api post "{\"as\": \"customer$n\", \"group\": \"$group\", \"reply_to\": $seq, \"text\": \"thanks 谢谢 $n\"}" >/dev/null
    done
}

# Do what a reply asks for. A page comes again where it was not acknowledged, so what was done is
# kept under the place of its event: here, that file is all that is done, and it is made at once.
# (Where it is something else, such as a row in a database, keep both in one transaction.)
take() { # CHANGE: gives whether it was new
    local place
    place=$(field group <<<"$1")-$(field seq <<<"$1")
    printf '%s\n' "$1" >"$work/new.$BASHPID"
    if ln "$work/new.$BASHPID" "$work/done/$place" 2>/dev/null; then return 0; fi
    echo "$place" >>"$work/again"
    return 1
}

consume() { # dies | ends: before it acknowledges anything new, or when there is nothing more
    local page change cursor is_new
    while true; do
        page=$(api changes '{"consumer": "orders", "limit": 100, "wait_ms": 200}') || return
        is_new=
        while IFS= read -r change; do
            if take "$change"; then is_new=yes; fi
        done < <(grep -oE '"group":"[^"]*","seq":[0-9]+,[^}]*"user":"customer[0-9]+","kind":"posted"' <<<"$page")
        if [ "$1$is_new" = diesyes ]; then
            touch "$work/busy"
            sleep 30 >/dev/null 2>&1
        fi
        cursor=$(grep -o '"cursor":"[^"]*"' <<<"$page" | field cursor || true)
        if [ -z "$cursor" ]; then return 0; fi
        api ack "{\"consumer\": \"orders\", \"cursor\": \"$cursor\"}" >/dev/null
    done
}

killed() { # let one consume, and kill it when it has done something and not said so
    consume dies &
    local pid=$!
    until [ -e "$work/busy" ]; do
        kill -0 "$pid"
        sleep 0.05
    done
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    rm "$work/busy"
}

replies 1 10
killed
replies 11 20
killed
replies 21 30
consume ends
heard=$(find "$work/done" -type f | wc -l)
echo "$heard replies were heard, $(sort -u "$work/again" | wc -l) of them again after the consumer was killed"
test "$heard" = 30

# --- order, and who has kept it

api ban "{\"as\": \"system\", \"group\": \"$group\", \"user\": \"customer13\"}" >/dev/null
api bans "{\"as\": \"system\", \"group\": \"$group\"}" | grep --quiet customer13
echo "customer13 is out"

audit=$(api audit "{\"group\": \"$group\", \"limit\": 500}" | grep -oE '\{"n":[^}]*\}')
grep --quiet '"as":"system","method":"ban".*"user":"customer13"' <<<"$audit"
for method in create add_members post ban; do
    echo "the audit has $(grep -c "\"method\":\"$method\"" <<<"$audit") of $method"
done
