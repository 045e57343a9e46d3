parser p() {
    state start { transition nowhere; }
}
