// Adds the chunks that reduce.moments left in `parts` for one column (Chan, Golub & LeVeque 1983). Needs a global `parts`.
struct Moments { count: f32, mean: f32, squares: f32 }
fn merge_moments(start: Moments, rows: u32, cols: u32, chunk: u32, column: u32) -> Moments {
    var total = start;
    for (var first = 0u; first < rows; first += chunk) {
        let n = f32(min(chunk, rows - first));
        let at = 2u * (first / chunk) * cols + column;
        let sum = total.count + n;
        let d = parts[at] - total.mean;
        total.mean += d * (n / sum);
        total.squares += parts[at + cols] + d * d * (total.count * n / sum);
        total.count = sum;
    }
    return total;
}
