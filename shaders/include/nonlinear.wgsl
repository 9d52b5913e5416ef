// Activations and the small-argument forms that WGSL's exp and log lack. Mirrors kernels::activation.
const LINEAR = 0u;
const GELU = 1u;
const TANH = 2u;
const RELU = 3u;

// The built-in tanh is free to lose all digits near 0.
fn tanh_accurate(x: f32) -> f32 {
    let a = abs(x);
    if a < 0.625 {
        let s = x * x;
        let p = (((-5.70498872745e-3 * s + 2.06390887954e-2) * s - 5.37397155531e-2) * s + 1.33314422036e-1) * s - 3.33332819422e-1;
        return x + x * s * p;
    }
    let y = 1.0 - 2.0 / (exp(2.0 * min(a, 10.0)) + 1.0);
    return select(y, -y, x < 0.0);
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
}

// x times the logistic of 2 sqrt(2/pi) (x + 0.044715 x^3): the tanh form of GELU.
fn gelu(x: f32) -> f32 {
    return x * sigmoid(x * (1.5957691216 + 0.0713548162726 * x * x));
}

fn gelu_derivative(x: f32) -> f32 {
    let s = sigmoid(x * (1.5957691216 + 0.0713548162726 * x * x));
    return s + x * s * (1.0 - s) * (1.5957691216 + 0.2140644488178 * x * x);
}

fn activate(kind: u32, x: f32) -> f32 {
    switch kind {
        case GELU: { return gelu(x); }
        case TANH: { return tanh_accurate(x); }
        case RELU: { return max(x, 0.0); }
        default: { return x; }
    }
}

// `saved` is the activation's input, but for tanh its output.
fn activation_derivative(kind: u32, saved: f32) -> f32 {
    switch kind {
        case GELU: { return gelu_derivative(saved); }
        case TANH: { return 1.0 - saved * saved; }
        case RELU: { return select(0.0, 1.0, saved > 0.0); }
        default: { return 1.0; }
    }
}

// log(1 + x) for x > -1: the rounding of 1 + x is put back.
fn log1p_accurate(x: f32) -> f32 {
    let u = 1.0 + x;
    if abs(x) < 0.1 {
        let s = x / (2.0 + x);
        let q = s * s;
        return 2.0 * s * (1.0 + q * (0.33333333 + q * (0.2 + q * 0.14285714)));
    }
    return log(u) + (x - (u - 1.0)) / u;
}

// exp(x) - 1
fn expm1_accurate(x: f32) -> f32 {
    if abs(x) < 0.35 {
        return x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * (0.008333334 + x * (0.0013888889 + x * 0.00019841270))))));
    }
    return exp(x) - 1.0;
}
