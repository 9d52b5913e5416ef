// constant.

struct Constant { factor: f32 }

fn constant_setup(p: u32, t: u32) -> Constant {
    return Constant(par(p));
}

fn constant_value(c: Constant, i: u32) -> f32 {
    return c.factor;
}
