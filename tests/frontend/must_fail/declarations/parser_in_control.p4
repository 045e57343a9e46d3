parser P();
control C();
control c()(P p) { apply { } }
parser q()(C c) { state start { transition accept; } }
