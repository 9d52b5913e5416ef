// Ranks of the rows that are kept, in order: rank[r] = place of row r among the kept ones, continued from total[0].
// One workgroup walks the whole array in contiguous shares, so the order never depends on timing.
struct Parameters { rows: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> keep: array<u32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;
@group(0) @binding(3) var<storage, read_write> total: array<u32>;

const DROPPED = 0xffffffffu;
var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    let share = (parameters.rows + 255u) / 256u;
    let start = min(lane * share, parameters.rows);
    let end = min(start + share, parameters.rows);
    var count = 0u;
    for (var row = start; row < end; row++) { count += min(keep[row], 1u); }
    sums[lane] = count;
    workgroupBarrier();
    // Inclusive scan over the workgroup (Hillis and Steele).
    for (var step = 1u; step < 256u; step *= 2u) {
        var sum = sums[lane];
        if lane >= step { sum += sums[lane - step]; }
        workgroupBarrier();
        sums[lane] = sum;
        workgroupBarrier();
    }
    var next = total[0] + sums[lane] - count;
    for (var row = start; row < end; row++) {
        if keep[row] == 0u {
            rank[row] = DROPPED;
        } else {
            rank[row] = next;
            next++;
        }
    }
    storageBarrier();
    workgroupBarrier();
    if lane == 255u { total[0] = next; }
}
