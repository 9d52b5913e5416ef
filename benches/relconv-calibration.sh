#!/usr/bin/env bash
# Are spin and height of examples/nustar-relconv.toml recovered? Mocks with spin, height, inclination and photon index drawn from the prior, fitted one by one; how
# often the 90 % intervals hold the truth, and the share of the posterior below it.
#
#   benches/relconv-calibration.sh DATA OUT [FIRST LAST]     # of the mocks, 1 to 24
#
# RONTGEN: the program, else target/release/rontgen.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
data=$1 out=$2 first=${3:-1} last=${4:-24}
rontgen=${RONTGEN:-$root/target/release/rontgen}
run=$root/examples/nustar-relconv.toml
mkdir -p "$out"
for ((n = first; n <= last; n++)); do
    # A congruential generator, the first numbers of which are left out.
    read -r spin height incl index < <(awk -v n="$n" 'BEGIN {
        x = n
        for (k = 0; k < 12; k++) { x = (x * 16807) % 2147483647; u[k] = x / 2147483647 }
        printf "%.4f %.4f %.3f %.4f\n", 0.998 * u[8], 2 + 18 * u[9], 10 + 60 * u[10], 1.7 + 0.6 * u[11] }')
    folder=$out/$n
    if [ ! -e "$folder/summary.json" ]; then
        "$rontgen" fake "$run" --data "$data" --exposure 110000 --seed "$n" --out "$out/$n.pha" --force \
            --at relconv_lp.a="$spin" relconv_lp.h="$height" relconv_lp.Incl="$incl" powerlaw.PhoIndex="$index" \
            powerlaw.norm=0.15 pexmon.norm=0.3 > "$out/$n.log" 2>&1
        "$rontgen" infer "$run" --data "$data" --set observation.spectrum="$out/$n.pha" --set inference.seed="$n" --device cpu \
            --out "$folder" --quiet --force >> "$out/$n.log" 2>&1 || echo "$n: exit status $?"
    fi
    for parameter in relconv_lp.a="$spin" relconv_lp.h="$height" relconv_lp.Incl="$incl"; do
        awk -F, -v name="${parameter%=*}" -v truth="${parameter#*=}" -v n="$n" '
            NR == 1 { for (k = 1; k <= NF; k++) if ($k == name) column = k; next }
            { all++; if ($column < truth) below++ }
            END { share = below / all; printf "%d %s %s %.4f %s\n", n, name, truth, share, (share > 0.05 && share < 0.95) ? "inside" : "outside" }
        ' "$folder/posterior.csv"
    done
done | tee -a "$out/shares.txt"
sort -u "$out/shares.txt" | awk '/inside|outside/ { all[$2]++; inside[$2] += ($5 == "inside") } END { for (p in all) print p, inside[p], "of", all[p] }'
