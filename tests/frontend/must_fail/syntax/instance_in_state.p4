extern E {
    E();
}
parser p() {
    state start {
        E() e;
        transition accept;
    }
}
