// What a component tabulates for the spectrum of an invocation; its setup fills it.
alias Room = array<f32, 480>;
