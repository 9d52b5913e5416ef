// Mirrors device::status::Fault. The shader that includes this binds `status: array<atomic<u32>>` as its LAST storage buffer.
const FAULT_MODEL = 0u;
const FAULT_FOLD = 1u;
const FAULT_POISSON = 2u;
const FAULT_LOSS = 3u;
const FAULT_GRADIENT = 4u;
const FAULT_FLOW = 5u;
const FAULT_LOOKUP = 6u;
const FAULT_CSTAT = 7u;

fn raise(fault: u32, row: u32) {
    atomicOr(&status[0], 1u << fault);
    atomicMin(&status[1u + fault], row);
}

// A comparison with itself may be optimised away: test the exponent bits.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}
