action a() { }
parser p() {
    state start {
        a();
        transition accept;
    }
}
