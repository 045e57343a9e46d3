parser p() {
    state s { transition accept; }
}
