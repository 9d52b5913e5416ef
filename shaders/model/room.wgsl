// What a component tabulates for the spectrum of an invocation; its setup fills it.
alias Room = array<f32, 480>;

// For the setups, which run one after the other.
var<private> room_scratch: Room;
